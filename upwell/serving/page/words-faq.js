// The words of the owner's tab for the FAQ.

export const WORDS = {
  en: {
    name: "FAQ", try: "Try", question: "A customer's question", questionHint: "Ask as a customer would…",
    entries: "{n} questions with answers", byVectors: "matched by words and by {name}", byWords: "matched by words alone",
    rule: "Answered from a score of {sure} and a margin of {margin}; handed over below {least}.",
    kinds: { answer: "Answered", ask: "Asked back", hand_over: "Handed over" },
    why: { answer: "One entry fits, and no other one nearly as well.", ask: "Several entries are near, or the nearest is not sure: the customer is asked which is meant.",
      hand_over: "No entry is near enough: it is logged, and a person is called." },
    score: "Score", margin: "Margin", nearest: "The nearest entries", tried: "Nothing that you try here is logged or handed over.",
    suggestions: "Entries that are missing", suggestionsNone: "No question was missed several times yet.", times: "{n} times", near: "near: {question} ({score})", newEntry: "nothing here is near it",
    misses: "What was not answered", missesNone: "Nothing was missed yet.", missesOff: "No log is kept.", reload: "Look again", when: "When", reason: "Why", most: "The last {n} of {all}.",
    reasons: { "no answer": "no entry is near", "none of those": "none of those asked back", "wants a person": "wants a person" },
    site: "On your own site", siteHow: "Put this line into your pages:", siteWho: "Pages of these sites may ask: {origins}.", siteNobody: "No site may ask yet: start the server with --widget-origins and the address of your site.",
    hook: "Calls for a person: {sent} sent, {failed} failed.", hookNone: "Nobody is called: no --webhook is set.", copied: "Copied.", copyLine: "Copy the line",
  },
  zh: {
    name: "客服", try: "试一试", question: "顾客的问题", questionHint: "像顾客那样提问……",
    entries: "{n} 组问答", byVectors: "按词语和 {name} 匹配", byWords: "只按词语匹配",
    rule: "得分不低于 {sure}、领先不低于 {margin} 时直接回答；得分低于 {least} 时转人工。",
    kinds: { answer: "直接回答", ask: "反问", hand_over: "转人工" },
    why: { answer: "有一条吻合，别的都差得远。", ask: "有几条相近，或者最近的一条没有把握：问顾客指的是哪一条。", hand_over: "没有一条足够接近：记入日志，并通知人工。" },
    score: "得分", margin: "领先", nearest: "最接近的条目", tried: "在这里试的问题不记入日志，也不会转人工。",
    suggestions: "缺少的条目", suggestionsNone: "还没有被多次问到却答不上来的问题。", times: "{n} 次", near: "接近：{question}（{score}）", newEntry: "没有接近的条目",
    misses: "没有答上来的问题", missesNone: "还没有答不上来的问题。", missesOff: "没有记日志。", reload: "刷新", when: "时间", reason: "原因", most: "共 {all} 条，显示最近 {n} 条。",
    reasons: { "no answer": "没有接近的条目", "none of those": "反问的都不是", "wants a person": "要求人工" },
    site: "放到您的网站上", siteHow: "把这一行放进网页：", siteWho: "可以提问的网站：{origins}。", siteNobody: "还没有网站可以提问：启动服务器时用 --widget-origins 写上您的网站地址。",
    hook: "通知人工：已发出 {sent} 次，失败 {failed} 次。", hookNone: "没有设置 --webhook，不会通知人工。", copied: "已复制。", copyLine: "复制这一行",
  },
};
