"""One model with a file, so that the admin has something to edit."""

from django.contrib import admin
from django.db import models


class Document(models.Model):
    """A titled file."""

    title = models.CharField(max_length=80)
    file = models.FileField(upload_to="documents", blank=True)

    def __str__(self):
        return self.title


admin.site.register(Document)
