"""The words of the report, each in English and Chinese; report.py puts them together.

Names of steps and reasons that stand in no table are shown as they are.
"""

WORDS = {
    "title": ("What went in, what came out", "进了什么，出了什么"),
    "language": ("Language of this page", "页面语言"),
    "lead": ("<b>{read}</b> went in, <b>{kept}</b> came out.", "读入 <b>{read}</b>，保留 <b>{kept}</b>。"),
    "lead all": ("<b>{read}</b> went in, and <b>all</b> came out.", "读入 <b>{read}</b>，<b>全部</b>保留。"),
    "lead none": ("<b>{read}</b> went in, and none came out.", "读入 <b>{read}</b>，一篇也没有留下。"),
    "about": (
        "What each step left out or changed on the way from {files} to {tokens}, how much of it, and why.",
        "从 {files}到 {tokens}，每一步去掉或改动了什么、有多少、为什么。",
    ),
    "about less": (
        "What each step left out or changed, how much of it, and why.", "每一步去掉或改动了什么、有多少、为什么。",
    ),
    "read": ("documents read", "读入的文档"),
    "kept": ("documents kept", "保留的文档"),
    "kept more": ("{share} of all", "占全部的 {share}"),
    "tokens": ("tokens to learn from", "用于训练的词元"),
    "heldout": ("documents held out", "留出的文档"),
    "vocabulary": ("bytes in a token", "每词元字节数"),
    "vocabulary more": ("vocabulary of {n}", "词表 {n}"),
    "river": ("The way through", "一路走来"),
    "river about": (
        "The water is as wide as there are documents. What leaves it at a step stands beside it.",
        "水有多宽，文档就有多少；每一步流走的，写在旁边。",
    ),
    "spring": ("Read", "读入"),
    "sea": ("To learn from", "用于训练"),
    "branch": ("Held out, for measuring only", "留出，只用于评测"),
    "written": (
        "After long documents were divided and documents drawn by the weights of their sources.",
        "长文档拆分、按来源权重抽取之后的数目。",
    ),
    "now": ("{n} remain", "剩 {n}"),
    "gone": ("−{n}", "−{n}"),
    "gone part": ("{share} of what came here", "占到此处的 {share}"),
    "characters gone": ("{n} with them", "共 {n}"),
    "more": ("and {n} more", "另有 {n} 项"),
    "contents": ("What is in it", "里面有什么"),
    "contents about": (
        "Counted by documents: formats and encodings of what was read, all else of what was kept.",
        "按文档计数：格式与编码算的是读入的，其余算的是保留下来的。",
    ),
    "languages": ("Languages", "语言"),
    "kinds": ("Kinds of text", "文本种类"),
    "tasks": ("Examples for a task", "任务样例"),
    "formats": ("File formats", "文件格式"),
    "encodings": ("Encodings", "字符编码"),
    "sources": ("Weights of the sources", "来源的权重"),
    "seconds": ("Seconds", "用时（秒）"),
    "lengths": ("Lengths", "长度"),
    "lengths about": (
        "Documents by their characters; each column is a range, the ranges grow.",
        "按字符数统计的文档；每一柱是一个区间，区间逐渐变宽。",
    ),
    "as numbers": ("as numbers", "看数字"),
    "characters from": ("from {a} to {b}", "{a} 至 {b}"),
    "characters over": ("{a} and more", "{a} 及以上"),
    "changed": ("What was changed", "改动了什么"),
    "changed about": (
        "How often each sign, word or line was put right or masked.", "各类字符、词句被修正或遮盖的次数。",
    ),
    "personal": ("Personal data and secrets", "个人信息与密钥"),
    "repeated": ("Repetitions", "重复内容"),
    "mended": ("Put right", "修正"),
    "faults": ("What could not be read", "无法读取的内容"),
    "faults about": (
        "Each with the place, what was found and what was expected.", "列出位置、发现了什么、应当是什么。",
    ),
    "rest unreadable": (
        "{n} more of them; --max-errors lists as many as you like.", "另有 {n} 处；--max-errors 可列出更多。",
    ),
    "notes": ("Worth a look", "值得一看"),
    "notes about": (
        "Each of these examples is in order by itself, and all of them were kept; a whole file shows what is odd.",
        "这些样例单独看都没有问题，全部保留了；放到整个文件里看，才显出不寻常。",
    ),
    "samples": ("Samples", "样例"),
    "samples about": (
        "A few for each reason, cut short. They are quoted from your documents: keep this page as private as those.",
        "每种原因各取几段，较长的只取开头。它们摘自你的文档，请像保管文档一样保管本页。",
    ),
    "of": ("{n} in all", "共 {n}"),
    "inputs": ("Where it came from", "来自哪里"),
    "inputs about": ("The files, with the SHA-256 of their bytes.", "所有文件及其字节的 SHA-256。"),
    "name": ("name", "名称"),
    "size": ("size", "大小"),
    "documents": ("documents", "文档"),
    "licence": ("licence", "许可证"),
    "unknown licence": ("not stated", "未注明"),
    "rest in manifest": ("{n} more stand in manifest.json.", "其余 {n} 个见 manifest.json。"),
    "settings": ("Settings", "设置"),
    "settings about": (
        "The same files with the same settings give the same bytes.", "同样的文件、同样的设置，得到同样的字节。",
    ),
    "foot": ("Made by upwell{version}{made}.", "由 upwell{version} 生成{made}。"),
    "foot time": (", {time}", "，{time}"),
}  # fmt: skip

NOUNS = {
    "document": ("document", "documents", "篇文档"),
    "file": ("file", "files", "个文件"),
    "token": ("token", "tokens", "个词元"),
    "character": ("character", "characters", "个字符"),
    "time": ("time", "times", "次"),
}

# name: English, Chinese, and one line each on what it does
STEPS = {
    "repair": ("Repair", "修复", "characters that were read wrong", "读错的字符"),
    "length": ("Length", "长度", "too little or too much text", "文本过短或过长"),
    "quality": ("Quality", "质量", "rules by kind of text", "按文本种类的规则"),
    "language": ("Language", "语言", "which language it is", "识别语言"),
    "decontaminate": ("Evaluation sets", "评测集", "pieces of what is measured with", "含有评测所用的片段"),
    "toxic": ("Toxic words", "恶意词语", "by a list of words", "按词表"),
    "secrets": ("Secrets", "密钥", "keys and tokens", "密钥与令牌"),
    "privacy": ("Personal data", "个人信息", "masked where it was found", "发现后遮盖"),
    "exact": ("Exact copies", "完全重复", "the same text again", "完全相同的文本"),
    "near": ("Near copies", "近似重复", "nearly the same text again", "几乎相同的文本"),
    "paragraphs": ("Repeated lines", "重复的行与段落", "what many documents share", "多篇文档共有的内容"),
    "reading": ("Reading", "读取", "files of all kinds", "各种文件"),
    "split": ("Division", "划分", "what is learnt, by the weights of the sources", "按来源的权重决定学什么"),
}

NAMES = {
    "prose": ("prose", "文章"), "code": ("code", "代码"), "dialogue": ("dialogue", "对话"),
    "chat": ("chat", "聊天"), "answer": ("question and answer", "问答"), "label": ("label", "分类"),
    "pair": ("translation", "翻译"), "txt": ("plain text", "纯文本"), "jsonl": ("JSON lines", "JSON 行"),
    "html": ("HTML", "HTML"), "md": ("Markdown", "Markdown"), "pdf": ("PDF", "PDF"),
}  # fmt: skip

REASONS = {
    "empty": "空白", "a part is empty": "有一部分是空的", "too short": "太短", "too long": "太长",
    "mojibake repaired": "修复乱码", "cleaned": "清理字符",
    "compatibility forms folded": "归一兼容字符", "another language": "其他语言", "language unknown": "语言无法确定",
    "in an evaluation set": "见于评测集", "toxic words": "恶意词语", "toxic words flagged": "标出恶意词语",
    "repetition": "完全重复",
    "near repetition": "近似重复",
    "only repeated lines": "只有重复的行", "repeated line or paragraph removed": "去掉重复的行或段落",
    "not drawn": "未抽中", "e-mail masked": "遮盖电子邮箱", "phone masked": "遮盖电话号码",
    "card masked": "遮盖银行卡号",
    "IBAN masked": "遮盖 IBAN", "IP address masked": "遮盖 IP 地址", "URL credentials masked": "遮盖网址中的账号密码",
    "national id masked": "遮盖身份证件号码", "private key masked": "遮盖私钥",
    "few letters": "字母太少", "mostly numbers": "多为数字", "mostly symbols": "多为符号", "few words": "词太少",
    "tags or broken lines": "标签或断行", "odd words": "词形异常", "unreadable characters": "无法辨认的字符",
    "encoded data": "编码数据", "filler text": "占位文字", "a list only": "只有列表", "cut off lines": "行尾被截断",
    "repeated lines": "行重复", "a menu": "菜单", "one word again and again": "一词反复", "no sentences": "没有句子",
    "repeated phrases": "短语重复", "generated code": "自动生成的代码", "minified code": "压缩过的代码",
    "data in place of code": "以数据充当代码",
}  # fmt: skip

# The last word of a name like "GitHub token masked".
SECRETS = {"key": "密钥", "token": "令牌", "JWT": " JWT", "password": "密码", "secret": "密钥"}

LANGUAGES = """
en English 英语|zh Chinese 中文|zh-Hans Chinese, simplified 简体中文|zh-Hant Chinese, traditional 繁体中文
und undetermined 无法确定|de German 德语|fr French 法语|es Spanish 西班牙语|it Italian 意大利语
pt Portuguese 葡萄牙语|nl Dutch 荷兰语|ru Russian 俄语|uk Ukrainian 乌克兰语|be Belarusian 白俄罗斯语
bg Bulgarian 保加利亚语|sr Serbian 塞尔维亚语|hr Croatian 克罗地亚语|bs Bosnian 波斯尼亚语
sl Slovenian 斯洛文尼亚语|mk Macedonian 马其顿语|pl Polish 波兰语|cs Czech 捷克语|sk Slovak 斯洛伐克语
hu Hungarian 匈牙利语|ro Romanian 罗马尼亚语|el Greek 希腊语|tr Turkish 土耳其语|sv Swedish 瑞典语
da Danish 丹麦语|no Norwegian 挪威语|nb Norwegian Bokmål 书面挪威语|nn Norwegian Nynorsk 新挪威语
fi Finnish 芬兰语|et Estonian 爱沙尼亚语|lv Latvian 拉脱维亚语|lt Lithuanian 立陶宛语|is Icelandic 冰岛语
ga Irish 爱尔兰语|cy Welsh 威尔士语|eu Basque 巴斯克语|ca Catalan 加泰罗尼亚语|gl Galician 加利西亚语
sq Albanian 阿尔巴尼亚语|la Latin 拉丁语|eo Esperanto 世界语|af Afrikaans 南非荷兰语|sw Swahili 斯瓦希里语
so Somali 索马里语|yo Yoruba 约鲁巴语|zu Zulu 祖鲁语|xh Xhosa 科萨语|ha Hausa 豪萨语|ig Igbo 伊博语
am Amharic 阿姆哈拉语|ar Arabic 阿拉伯语|he Hebrew 希伯来语|fa Persian 波斯语|ur Urdu 乌尔都语
ps Pashto 普什图语|ku Kurdish 库尔德语|hi Hindi 印地语|bn Bengali 孟加拉语|pa Punjabi 旁遮普语
gu Gujarati 古吉拉特语|mr Marathi 马拉地语|ne Nepali 尼泊尔语|si Sinhala 僧伽罗语|ta Tamil 泰米尔语
te Telugu 泰卢固语|kn Kannada 卡纳达语|ml Malayalam 马拉雅拉姆语|th Thai 泰语|lo Lao 老挝语|my Burmese 缅甸语
km Khmer 高棉语|vi Vietnamese 越南语|id Indonesian 印尼语|ms Malay 马来语|tl Tagalog 他加禄语|ja Japanese 日语
ko Korean 韩语|mn Mongolian 蒙古语|kk Kazakh 哈萨克语|uz Uzbek 乌兹别克语|ky Kyrgyz 吉尔吉斯语
az Azerbaijani 阿塞拜疆语|ka Georgian 格鲁吉亚语|hy Armenian 亚美尼亚语|bo Tibetan 藏语|ug Uyghur 维吾尔语
mt Maltese 马耳他语|lb Luxembourgish 卢森堡语
oc Occitan 奥克语|sco Scots 低地苏格兰语|nds Low German 低地德语|br Breton 布列塔尼语|fy Frisian 弗里西语
gd Scottish Gaelic 苏格兰盖尔语|ast Asturian 阿斯图里亚斯语|an Aragonese 阿拉贡语|ht Haitian Creole 海地克里奥尔语
yi Yiddish 意第绪语|tt Tatar 鞑靼语|ba Bashkir 巴什基尔语|cv Chuvash 楚瓦什语|tg Tajik 塔吉克语|tk Turkmen 土库曼语
sd Sindhi 信德语|or Odia 奥里亚语|as Assamese 阿萨姆语|sa Sanskrit 梵语|dv Dhivehi 迪维希语|jv Javanese 爪哇语
su Sundanese 巽他语|ceb Cebuano 宿务语|war Waray 瓦瑞语|mg Malagasy 马达加斯加语|yue Cantonese 粤语|wuu Wu Chinese 吴语
"""
