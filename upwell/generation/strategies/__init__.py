"""Ways to choose the next tokens, one file each: Settings · search(logits, filters, stop, settings).

search is a coroutine in the words of generation/steps.py. Its Settings are filled by name from the request's settings,
and from what else is known of the request: `before` (the token ids that the text goes on from, or is about), `phrases`
(what must appear, as ids) and `draft` (a small model's guesses, or None). `filters` is called with (tokens written by
each row (rows, n), logits (rows, V)) and gives logits; `stop` is called with the ids that one row has written and gives
"stop", "length", "time" or None. Optional: rows(settings), how many rows it keeps alive (default 1); HIDDEN = True, to
be given a Read in place of logits.
"""
