"""Roads of a saved model from its folder to production."""
