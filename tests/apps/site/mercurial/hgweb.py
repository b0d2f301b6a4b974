"""hgweb over the repositories beside this file."""

from mercurial import demandimport

demandimport.enable()
from mercurial.hgweb import hgweb  # noqa: E402

application = hgweb(b"hgweb.config")
