"""FOR OTHERS: one FastAPI application that speaks OpenAI's language, and one page to write on.

Contract: `api.app(backends)` is handed named `generation.backend.Backend`s and plain extra routes; it knows
nothing of checkpoints, tensors or training. A bad request is answered in OpenAI's error shape and is never
a 5xx; a client that leaves gives its slot back; nothing here writes a prompt or a key to a log.

    refusals    an answer that is a mistake, in OpenAI's shape
    body        bytes of a request -> checked JSON
    records     checked JSON -> closed records (every field known, every number bounded)
    library     documents that are asked, and which of them a key sees
    desk        who works here, and whether the doors are open
    limits      slots, the line before them, and each generation in a thread of its own
    writing     a request to write, from its record to its answer
    answers     pieces of text -> OpenAI's objects and events
    consulting  a question to documents, on the way that a request to write goes
    metrics     what happened here, in numbers
    guard       what stands before every route: host, origin, key, headers, request id, the log
    endpoints/  one file for each thing that can be asked: its records, its answer, its routes
    api         the application
    server      uvicorn as we run it: deadlines, draining, statistics
    page/       plain HTML, CSS and JavaScript; nothing is built, nothing comes from elsewhere; one file a tab
"""
