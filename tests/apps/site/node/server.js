// A guest book in Node's standard library. It knows nothing of where it is mounted.
const http = require("node:http");
const crypto = require("node:crypto");

const entries = [];
const page = visits => `<!doctype html><title>Guests</title><link rel="stylesheet" href="style.css">
<h1>Guests</h1><p>Visit ${visits}</p><ul>${entries.map(e => `<li>${e}</li>`).join("")}</ul>
<form method="post" action="sign"><input name="text"><button>Sign</button></form>
<a href="./">again</a> <a href="old">moved</a>`;

function upload(request, response) {
  const digest = crypto.createHash("sha256");
  let size = 0;
  request.on("data", chunk => { digest.update(chunk); size += chunk.length; });
  request.on("end", () => response.end(JSON.stringify({ size, sha256: digest.digest("hex") })));
}

function download(url, response) {
  let left = Number(url.searchParams.get("size"));
  const piece = Buffer.alloc(65536);
  const send = () => {
    while (left > 0) {
      left -= piece.length;
      if (!response.write(piece)) return response.once("drain", send);
    }
    response.end();
  };
  send();
}

function sign(request, response) {
  let body = "";
  request.on("data", chunk => { body += chunk; });
  request.on("end", () => {
    entries.push(new URLSearchParams(body).get("text"));
    response.writeHead(303, { Location: "/" }).end();
  });
}

const server = http.createServer((request, response) => {
  const url = new URL(request.url, "http://node");
  if (url.pathname === "/upload") return upload(request, response);
  if (url.pathname === "/download") return download(url, response);
  if (url.pathname === "/sign") return sign(request, response);
  if (url.pathname === "/old") return response.writeHead(301, { Location: "/" }).end();
  if (url.pathname === "/style.css") {
    return response.writeHead(200, { "Content-Type": "text/css" }).end("h1 { color: olive }");
  }
  if (url.pathname !== "/") return response.writeHead(404).end();
  const visits = Number(/visits=(\d+)/.exec(request.headers.cookie || "")?.[1] || 0) + 1;
  response.writeHead(200, { "Content-Type": "text/html", "Set-Cookie": `visits=${visits}; Path=/` });
  response.end(page(visits));
});

server.listen(process.env.PORT, "127.0.0.1");
process.on("SIGTERM", () => { server.close(() => process.exit(0)); server.closeIdleConnections(); });
