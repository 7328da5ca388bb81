// The words of the tab that goes on with a text.

export const WORDS = {
  en: {
    name: "Write", write: "Write", goOn: "Write on", ended: "finished",
    text: "Your text", placeholder: "Begin a text, and let the model go on…",
    starters: ["The river", "She was born in", "The village lies", "In the year 1912"],
    againHint: "Write the last part again, differently", undoHint: "Undo the last step",
    copyHint: "Copy the text", freshHint: "Begin anew (Undo brings the old text back)",
    seesOnly: "The model sees only the last part of the text; what it no longer sees is grey.",
    chances: "Probabilities", chancesHint: "Show probabilities: underline what was unlikely, and show the alternatives",
    chancesUnknown: "This model does not tell its probabilities; they are switched off.",
    cardTitle: "Likeliest here; choose one to go on from it", cardLabel: "Likeliest tokens",
  },
  zh: {
    name: "写作", write: "写", goOn: "接着写", ended: "已写完",
    text: "你的文字", placeholder: "写个开头，让模型接着写……",
    starters: ["这条河", "他出生于", "春天来了", "这座城市位于"],
    againHint: "换一种写法，重写最后一段", undoHint: "撤销上一步",
    copyHint: "复制全文", freshHint: "重新开始（可用“撤销”找回）",
    seesOnly: "模型只看得到文字的最后一部分；灰色的部分它已看不到。",
    chances: "概率", chancesHint: "显示概率：给不太可能的词加下划线，并列出其他选择",
    chancesUnknown: "这个模型不提供概率，已关闭显示。",
    cardTitle: "此处最可能的词元，选一个从那里接着写", cardLabel: "最可能的词元",
  },
};
