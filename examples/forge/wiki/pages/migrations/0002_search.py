"""The full-text index over pages, kept by triggers so that no code path can forget it.

Place:  django -> [migrations]
Rule:   reversible.
"""

from django.db import migrations

FORWARD = [
    """CREATE VIRTUAL TABLE page_text USING fts5(
         title, body, tokenize="unicode61 remove_diacritics 2", prefix="2 3")""",
    """CREATE TRIGGER page_text_insert AFTER INSERT ON pages_page BEGIN
         INSERT INTO page_text(rowid, title, body) VALUES (new.id, new.title, new.body);
       END""",
    """CREATE TRIGGER page_text_update AFTER UPDATE OF title, body ON pages_page BEGIN
         UPDATE page_text SET title = new.title, body = new.body WHERE rowid = new.id;
       END""",
    """CREATE TRIGGER page_text_delete AFTER DELETE ON pages_page BEGIN
         DELETE FROM page_text WHERE rowid = old.id;
       END""",
    "INSERT INTO page_text(rowid, title, body) SELECT id, title, body FROM pages_page",
]
BACKWARD = [
    "DROP TRIGGER page_text_delete",
    "DROP TRIGGER page_text_update",
    "DROP TRIGGER page_text_insert",
    "DROP TABLE page_text",
]


class Migration(migrations.Migration):
    """Add the index."""

    dependencies = [("pages", "0001_tables")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
