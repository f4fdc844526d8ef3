"""What a run will hold and take, said before it starts."""
