"""What in a party's own table may mean something else than it is read as: a sentence for this party alone, with the
column, the rows and the remedy, never a value or an id."""
