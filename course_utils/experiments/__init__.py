"""Everything that made a shipped file: trained models, compressed ones, and the tables in
`data/results`."""
