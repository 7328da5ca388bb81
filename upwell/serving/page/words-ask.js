// The words of the tab that answers from documents.

export const WORDS = {
  en: {
    name: "Ask", ask: "Ask", say: "Your question", sayHint: "Ask what the documents say…", asked: "Questions and answers",
    index: "Documents of", collection: "Collection", every: "all collections", documents: "Documents: {n}", freshAsk: "New conversation",
    empty: "Ask what the documents say. Each answer shows where it stands.",
    extractive: "Answers are the documents' own words: no model on this server puts them into new ones.",
    written: "A model writes the answers from what was found; what the documents do not bear out is left out.",
    how: { span: "word for word", sentence: "the sentence that fits best", written: "written from the sources below" },
    sure: "confidence {n}", searched: "searched for: {q}", sources: "Sources", cite: "Source {n}: {name}", found: "Passages found: {n}",
    nearest: "What comes nearest: {n}", score: "score {n}", likeness: "likeness {n}", words: "words {n}", page: "page {n}",
    source: "Source", sourceText: "Text of the source", closeSource: "Close the source", place: "characters {start} to {end}",
    noSource: "That document is not there, or no longer.", reading: "{n} passages found, reading…", copyAnswer: "Copy the answer with its sources",
    more: "and {n} more", long: "A question may have {n} characters.",
  },
  zh: {
    name: "问答", ask: "提问", say: "问题", sayHint: "问问文档里怎么说……", asked: "问题与回答",
    index: "文档来自", collection: "分类", every: "全部分类", documents: "文档：{n} 篇", freshAsk: "新的对话",
    empty: "问问文档里怎么说。每个回答都标明出处。",
    extractive: "回答都是文档里的原话：这台服务器上没有模型来改写。",
    written: "回答由模型根据找到的内容写成；文档不能证实的部分会去掉。",
    how: { span: "原文摘录", sentence: "最贴近的一句", written: "根据下面的出处写成" },
    sure: "把握 {n}", searched: "实际查找：{q}", sources: "出处", cite: "出处 {n}：{name}", found: "找到的段落：{n}",
    nearest: "最接近的段落：{n}", score: "得分 {n}", likeness: "相似度 {n}", words: "词语 {n}", page: "第 {n} 页",
    source: "出处", sourceText: "原文", closeSource: "关闭原文", place: "第 {start} 到 {end} 个字符",
    noSource: "没有这篇文档，或者它已经不在了。", reading: "找到 {n} 段，正在阅读……", copyAnswer: "复制回答和出处",
    more: "还有 {n} 篇", long: "问题最多 {n} 个字符。",
  },
};
