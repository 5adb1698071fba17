"""What only one lesson uses, a folder each: explorers to move, exercises to solve."""
