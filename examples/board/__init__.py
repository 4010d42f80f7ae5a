"""The board: this machine's vitals and everybody's notes, live, with the loop laid open beside them."""
