"""One file a step: Settings · step(settings) -> function(Document) -> Document | Dropped; pure, run in all workers."""
