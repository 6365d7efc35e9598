"""What carries a plan out: runs one after the other, side by side, elsewhere."""
