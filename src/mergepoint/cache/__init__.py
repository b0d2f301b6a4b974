"""What an answer was made from, found without the app's help."""
