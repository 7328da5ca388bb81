"""One file a family: MODEL_TYPES · config(keys) -> Config · to_hf(Config) -> dict · rows(Config) -> list[Row]."""
