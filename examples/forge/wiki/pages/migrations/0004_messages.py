"""What others tell the wiki, and the outbox for what it tells them.

Place:  manage.py migrate
Rule:   the outbox is what `python -m mergepoint.tasks.outbox --sql sqlite:////x` prints.
"""

import django.db.models.deletion
from django.db import migrations, models

OUTBOX = """CREATE TABLE IF NOT EXISTS mergepoint_outbox (
    place INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, queue TEXT NOT NULL,
    attributes TEXT NOT NULL, data BLOB NOT NULL, message_key TEXT NOT NULL,
    priority INTEGER NOT NULL, not_before REAL NOT NULL, attempts_max INTEGER NOT NULL,
    expires_at REAL NOT NULL, at REAL NOT NULL, tries INTEGER NOT NULL DEFAULT 0,
    reason TEXT NOT NULL DEFAULT '', parked_at REAL NOT NULL DEFAULT 0)"""


class Migration(migrations.Migration):
    dependencies = [("pages", "0003_names")]

    operations = [
        migrations.RunSQL(OUTBOX, "DROP TABLE mergepoint_outbox"),
        migrations.CreateModel(
            name="Ticket",
            fields=[
                ("number", models.PositiveBigIntegerField(primary_key=True, serialize=False)),
                ("revision", models.PositiveIntegerField()),
                ("title", models.CharField(max_length=160)),
                ("is_open", models.BooleanField()),
            ],
        ),
        migrations.CreateModel(
            name="TicketLink",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("target", models.CharField(db_index=True, max_length=160)),
                (
                    "ticket",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="links",
                        to="pages.ticket",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=["ticket", "target"], name="ticket_link_once")
                ],
            },
        ),
    ]
