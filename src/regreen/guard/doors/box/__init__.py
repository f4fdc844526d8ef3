"""What a door puts into a box; standard library only, whatever Python the box has."""
