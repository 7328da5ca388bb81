// The tabs of the page, in their order: one line each. A tab is one module whose default export is
//
//   {
//     id: "chat",                        // the button is #tab-chat, the panel #panel-chat
//     needs: "write",                    // the capability that a model must have, else the tab is not shown
//     style: "/tab-chat.css",            // its style sheet, if it has one
//     link: "source",                    // #source=... in the page's address brings it to the front, if it has such
//     words: { en: {...}, zh: {...} },   // the same keys in both; `name` is what the tab is called
//     make(frame) -> tab,
//   }
//
// and the tab that `make` gives has
//
//   element      its node, which the frame shows and hides
//   shown()      it has come to the front; hidden(): it has left it
//   busy()       whether it is at work; go(): begin that; stop(): end it
//   fresh()      begin anew (the key for it was pressed); focus(): put the cursor where one writes
//   spoken()     the language has changed; nodes with data-word, data-label and data-hint are done already
//   arrived()    the models are known, or another one was picked
//   linked(params)  what the address says, for a tab with a `link`
//   ownSettings  true: it brings its own models and settings, so the frame hides its own
//
// The frame gives it
//
//   word(name)   a word of the tab or of the page, in the language of now
//   knobs        the settings of the panel (see knobs.js)
//   model()      the card of the model that was picked, or null; models(): all that can do what the tab needs
//   told(error)  a fault in words
//   changed()    to be called whenever busy() has changed
//
// A tab knows the frame by this alone, and other tabs not at all.

export const TABS = [
  "./tab-write.js",
  "./tab-chat.js",
  "./tab-compare.js",
  "./tab-ask.js",
  "./tab-faq.js",
  "./tab-translate.js",
];
