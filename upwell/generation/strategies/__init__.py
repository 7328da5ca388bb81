"""Ways to choose the next tokens, one file each: Settings · search(logits, filters, stop, settings).

search is a coroutine in the words of generation/steps.py. Its Settings are filled from the request's settings by
name. `filters` is called with (tokens written by each row (rows, n), logits (rows, V)) and gives logits; `stop` is
called with the ids that one row has written and gives "stop", "length" or None.
"""
