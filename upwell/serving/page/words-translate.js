// The words of the tab that translates.

export const WORDS = {
  en: {
    name: "Translate", translate: "Translate", source: "From", target: "Into", auto: "Detect", swap: "Swap languages",
    text: "Text to translate", textHint: "Type or paste…", result: "Translation", copyResult: "Copy the translation", copy: "Copy",
    copied: "Copied.", file: "File…", fileHint: "Translate a document; its layout stays", terms: "Terms",
    termsHint: "term = translation, one a line; a term alone stays as it is", sure: "confidence", low: "Not sure of this one: read it over.",
    others: "Other translations", looks: "looks like", ready: "Done:", segments: "segments", toRead: "to be read over",
    limits: "A small model knows what it learnt from (menus, messages, help pages) and little else. Read over what matters.",
    draft: "draft",
    languages: { ar: "Arabic", cs: "Czech", de: "German", en: "English", es: "Spanish", fr: "French", it: "Italian", ja: "Japanese", ko: "Korean", nl: "Dutch", pl: "Polish", pt: "Portuguese", ru: "Russian", sv: "Swedish", tr: "Turkish", uk: "Ukrainian", zh: "Chinese" },
  },
  zh: {
    name: "翻译", translate: "翻译", source: "原文语言", target: "译文语言", auto: "自动识别", swap: "互换语言",
    text: "要翻译的文字", textHint: "输入或粘贴……", result: "译文", copyResult: "复制译文", copy: "复制",
    copied: "已复制。", file: "文件……", fileHint: "翻译文档，版式不变", terms: "术语",
    termsHint: "每行一条：术语 = 译法；只写术语表示保留原样", sure: "把握", low: "这一句没有把握，请核对。",
    others: "其他译法", looks: "看起来是", ready: "完成：", segments: "段", toRead: "段需要核对",
    limits: "小模型只懂它学过的文字（菜单、提示、帮助），其他的懂得很少。重要的内容请核对。",
    draft: "草稿",
    languages: { ar: "阿拉伯语", cs: "捷克语", de: "德语", en: "英语", es: "西班牙语", fr: "法语", it: "意大利语", ja: "日语", ko: "韩语", nl: "荷兰语", pl: "波兰语", pt: "葡萄牙语", ru: "俄语", sv: "瑞典语", tr: "土耳其语", uk: "乌克兰语", zh: "中文" },
  },
};
