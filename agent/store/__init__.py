"""One SQL store: all tables, migrations, and the SQL form of the ledger."""
