"""The page over a runs folder: served live, or written as one file that opens with no network."""
