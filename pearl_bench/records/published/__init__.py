"""Published results: small CSV files made from raw run folders, and kept."""
