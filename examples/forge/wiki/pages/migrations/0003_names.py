"""Names of authors beside the names they log in with, which may be longer than before.

Place:  django -> [migrations]
Rule:   reversible; what older versions wrote keeps its author.
"""

from importlib import import_module

from django.db import migrations, models

search = import_module("pages.migrations.0002_search")
# SQLite changes a column by making the table anew, which loses its triggers.
TRIGGERS = [statement for statement in search.FORWARD if statement.startswith("CREATE TRIGGER")]
DROPPED = [statement for statement in search.BACKWARD if statement.startswith("DROP TRIGGER")]
WRITTEN = [("page", "updated_by"), ("revision", "author"), ("attachment", "added_by")]


class Migration(migrations.Migration):
    """Widen and add columns."""

    dependencies = [("pages", "0002_search")]
    operations = [
        migrations.RunSQL(DROPPED, TRIGGERS),
        *(
            migrations.AlterField(model, name, models.CharField(max_length=64))
            for model, name in WRITTEN
        ),
        *(
            migrations.AddField(
                model, f"{name}_name", models.CharField(max_length=100, blank=True, default="")
            )
            for model, name in WRITTEN
        ),
        migrations.RunSQL(TRIGGERS, DROPPED),
    ]
