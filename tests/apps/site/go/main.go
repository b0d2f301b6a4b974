// A small Go server on a Unix socket; it knows nothing of where it is mounted.
package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"
)

var (
	lock   sync.Mutex
	wishes []string
)

func home(w http.ResponseWriter, r *http.Request) {
	visits := 1
	if cookie, err := r.Cookie("visits"); err == nil {
		if seen, err := strconv.Atoi(cookie.Value); err == nil {
			visits = seen + 1
		}
	}
	http.SetCookie(w, &http.Cookie{Name: "visits", Value: strconv.Itoa(visits), Path: "/"})
	w.Header().Set("Content-Type", "text/html")
	fmt.Fprintf(w, `<!doctype html><title>Wishes</title><link rel="stylesheet" href="style.css">
<h1>Wishes</h1><p>Visit %d</p><ul>`, visits)
	lock.Lock()
	for _, wish := range wishes {
		fmt.Fprintf(w, "<li>%s</li>", html.EscapeString(wish))
	}
	lock.Unlock()
	fmt.Fprint(w, `</ul><form method="post" action="wish"><input name="text"><button>Wish</button></form>
<a href="./">again</a> <a href="old">moved</a>`)
}

func wish(w http.ResponseWriter, r *http.Request) {
	lock.Lock()
	wishes = append(wishes, r.FormValue("text"))
	lock.Unlock()
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func upload(w http.ResponseWriter, r *http.Request) {
	digest := sha256.New()
	size, err := io.Copy(digest, r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	fmt.Fprintf(w, `{"size": %d, "sha256": "%x"}`, size, digest.Sum(nil))
}

func download(w http.ResponseWriter, r *http.Request) {
	size, _ := strconv.Atoi(r.FormValue("size"))
	piece := make([]byte, 65536)
	for sent := 0; sent < size; sent += len(piece) {
		if _, err := w.Write(piece); err != nil {
			return
		}
	}
}

func main() {
	listener, err := net.Listen("unix", os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	http.HandleFunc("GET /{$}", home)
	http.HandleFunc("POST /wish", wish)
	http.HandleFunc("POST /upload", upload)
	http.HandleFunc("GET /download", download)
	http.Handle("GET /old", http.RedirectHandler("/", http.StatusMovedPermanently))
	http.HandleFunc("GET /style.css", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/css")
		fmt.Fprint(w, "h1 { color: navy }")
	})
	server := &http.Server{}
	done := make(chan os.Signal, 1)
	signal.Notify(done, syscall.SIGTERM)
	go func() {
		<-done
		_ = server.Shutdown(context.Background())
	}()
	if err := server.Serve(listener); err != http.ErrServerClosed {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
