"""OTHER LANGUAGES: text and documents in another language, with everything between the segments kept.

Contract only: nothing is here yet. The room sees a model only as a generation.backend.Backend. A document that
came back untranslated is an error.
"""
