"""Flask-Login's own example: a page for members, and a user of the app's own kind."""

from flask import Flask, redirect, url_for
from flask_login import LoginManager, current_user, login_required, logout_user

from mergepoint.identity.adapters.flask_login import connect

app = Flask(__name__)
app.secret_key = "only for this test"
login_manager = LoginManager(app)
connect(login_manager)


@app.get("/")
def index():
    return f"Hello {current_user.name if current_user.is_authenticated else 'stranger'}"


@app.get("/protected")
@login_required
def protected():
    return f"Logged in as: {current_user.identity.user}"


@app.get("/logout")
def logout():
    logout_user()
    return redirect(url_for("index"))
