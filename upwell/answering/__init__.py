"""QUESTIONS: passages, an index over them, and answers with exact spans of a stored source.

Contract only: nothing is here yet. The room sees a model only as a generation.backend.Backend. A citation is an
exact span of a stored source; "I don't know" is an answer.
"""
