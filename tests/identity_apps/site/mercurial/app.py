"""hgweb over the repositories beside this file; who pushes is `REMOTE_USER`, as ever."""

from mercurial import demandimport

demandimport.enable()
from mercurial.hgweb import hgweb  # noqa: E402

application = hgweb(b"hgweb.config")
