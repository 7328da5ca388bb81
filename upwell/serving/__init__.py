"""FOR OTHERS: one FastAPI application that speaks OpenAI's language, and one page to write on.

Contract: `api.app(backends)` is handed named `generation.backend.Backend`s and plain extra routes; it knows
nothing of checkpoints, tensors or training. A bad request is answered in OpenAI's error shape and is never
a 5xx; a client that leaves gives its slot back; nothing here writes a prompt or a key to a log.

    refusals    an answer that is a mistake, in OpenAI's shape
    body        bytes of a request -> checked JSON
    requests    checked JSON -> closed records (every field known, every number bounded)
    limits      slots, the line before them, and one generation in a thread of its own
    answers     pieces of text -> OpenAI's objects and event streams
    guard       what stands before every route: host, origin, key, headers, request id
    api         the routes
    page/       plain HTML, CSS and JavaScript; nothing is built, nothing comes from elsewhere
"""
