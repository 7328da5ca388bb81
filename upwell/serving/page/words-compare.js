// The words of the tab that compares.

export const WORDS = {
  en: {
    name: "Compare", writeBoth: "Write both", prompt: "What both are given", promptHint: "One beginning, two models or settings…",
    kind: "How it is given", text: "Text", message: "Message", sameSeed: "Same seed", seedWas: "seed",
    leftSide: "Left", rightSide: "Right", leftAnswer: "Left answer", rightAnswer: "Right answer",
  },
  zh: {
    name: "对比", writeBoth: "一起写", prompt: "给两边的内容", promptHint: "同一个开头，两个模型或两种设置……",
    kind: "作为什么", text: "文本", message: "消息", sameSeed: "相同种子", seedWas: "种子",
    leftSide: "左边", rightSide: "右边", leftAnswer: "左边的回答", rightAnswer: "右边的回答",
  },
};
