"""What takes a saved model from its folder to production."""
