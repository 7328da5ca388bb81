// The words of the tab for conversations.

export const WORDS = {
  en: {
    name: "Chat", send: "Send", talk: "Conversation", say: "Your message", sayHint: "Say something…",
    you: "You", model: "Model",
    chatEmpty: "A model that has only learnt to continue texts answers as well as it can.",
    system: "System prompt", systemHint: "What the model should know or be in this conversation…",
    forgot: "The conversation is longer than the model can see; the first messages were left out.",
    leftOut: "The model no longer saw the {n} messages above.",
    read: "{n} read", edit: "Edit the message", saveEdit: "Send anew", answerAgain: "Answer again, differently", reply: "Ask for an answer again",
    onward: "Go on", onwardHint: "Go on with this answer", copyTurn: "Copy the message", removeTurn: "Delete this and what follows",
    turnRemoved: "Deleted.", branchBefore: "Previous version", branchNext: "Next version",
    talks: "Conversations", freshTalk: "New conversation", search: "Search…", foundNone: "Nothing found.", noTalks: "Nothing here yet.",
    untitled: "New conversation", rename: "Rename", exportOne: "Export", removeTalk: "Delete", talkRemoved: "Conversation deleted.",
    importTalks: "Import", exportAll: "Export all", imported: "Conversations imported: {n}.",
    importBad: "This file holds no conversations of this page; nothing was changed.",
  },
  zh: {
    name: "对话", send: "发送", talk: "对话", say: "你的话", sayHint: "说点什么……",
    you: "你", model: "模型",
    chatEmpty: "只学过续写的模型，会尽力回答。",
    system: "系统提示", systemHint: "在这段对话里，模型该知道什么、扮演什么……",
    forgot: "对话超出了模型能看到的长度，最早的几句已略去。",
    leftOut: "上面的 {n} 条消息，模型已看不到。",
    read: "读入 {n}", edit: "修改这条消息", saveEdit: "重新发送", answerAgain: "换一种回答", reply: "再次请求回答",
    onward: "继续", onwardHint: "接着写完这个回答", copyTurn: "复制这条消息", removeTurn: "删除这条及之后的内容",
    turnRemoved: "已删除。", branchBefore: "上一个版本", branchNext: "下一个版本",
    talks: "对话列表", freshTalk: "新对话", search: "搜索……", foundNone: "没有找到。", noTalks: "这里还没有对话。",
    untitled: "新对话", rename: "重命名", exportOne: "导出", removeTalk: "删除", talkRemoved: "对话已删除。",
    importTalks: "导入", exportAll: "全部导出", imported: "已导入 {n} 段对话。",
    importBad: "这个文件里没有本页的对话，什么都没有改动。",
  },
};
