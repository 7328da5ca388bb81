"""One file a step: Settings · step(settings) -> function(Document) -> Document | Dropped, pure, called in many processes."""
