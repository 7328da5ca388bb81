/* What the page says, in its two languages. */
export const WORDS = {
  en: {
    theme: "light or dark", runs: "runs", over: "over", step: "steps", at: "step", tokens: "tokens", time: "time",
    smooth: "smoothed", logarithm: "logarithmic", fromStart: "whole course", written: "What the model writes",
    empty: "Nothing has been measured yet. The page renews itself.", lost: "The page has lost `upwell watch`; start it again.",
    live: "live", idle: "at rest", of: "of", left: "left", reference: "reference", prompt: "given", model: "the model",
    reset: "double-click: whole course", held: "held-out",
    names: { loss: "loss, nats", "bits per byte": "bits per byte", norm: "length of the gradient", rate: "learning rate, share of its peak",
             "tokens per second": "tokens a second", memory: "memory, GiB", scale: "loss scale" },
  },
  zh: {
    theme: "浅色或深色", runs: "训练", over: "横轴", step: "步数", at: "步", tokens: "词元数", time: "时间",
    smooth: "平滑", logarithm: "对数", fromStart: "全程", written: "模型写下的文字",
    empty: "还没有测量结果。页面会自动更新。", lost: "页面与 `upwell watch` 失去联系；请重新启动它。",
    live: "进行中", idle: "静止", of: "/", left: "剩余", reference: "参考", prompt: "给定", model: "模型",
    reset: "双击：全程", held: "留出集",
    names: { loss: "损失（nat）", "bits per byte": "每字节比特数", norm: "梯度长度", rate: "学习率（占峰值的比例）",
             "tokens per second": "每秒词元数", memory: "内存（GiB）", scale: "损失缩放", accuracy: "准确率" },
  },
};
