// Command dex runs the OpenID Connect provider Dex for the tests of the
// sign-in: everything in memory, one client, two users with a password and one
// who is signed in by a click and is in the group "authors". It prints
// "listening on <issuer>" and ends when its standard input does.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/dexidp/dex/server"
	"github.com/dexidp/dex/storage"
	"github.com/dexidp/dex/storage/memory"
	"golang.org/x/crypto/bcrypt"
)

// What the tests sign in with.
const (
	clientID     = "cloudretro"
	clientSecret = "a secret of the client"
	password     = "a password of the users"
)

func main() {
	address := flag.String("address", "127.0.0.1:0", "to listen on")
	redirect := flag.String("redirect", "", "redirect URLs of the client, with commas between")
	flag.Parse()
	if err := run(*address, *redirect); err != nil {
		fmt.Fprintln(os.Stderr, "dex:", err)
		os.Exit(1)
	}
}

func run(address, redirect string) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	issuer := "http://" + listener.Addr().String() + "/dex"
	handler, err := provider(ctx, issuer, redirect)
	if err != nil {
		return err
	}
	s := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = s.Close()
	}()
	fmt.Println("listening on " + issuer)
	if err := s.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

func provider(ctx context.Context, issuer, redirect string) (http.Handler, error) {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	users, err := passwords("player@example.org", "admin@example.org")
	if err != nil {
		return nil, err
	}
	all := storage.WithStaticPasswords(memory.New(log), users, log)
	all = storage.WithStaticClients(all, []storage.Client{{
		ID: clientID, Secret: clientSecret, Name: "CloudRetro", RedirectURIs: strings.Split(redirect, ","),
	}})
	all = storage.WithStaticConnectors(all, []storage.Connector{
		{ID: server.LocalConnector, Type: server.LocalConnector, Name: "Password"},
		{ID: "click", Type: "mockCallback", Name: "Click"},
	})
	handler, err := server.NewServer(ctx, server.Config{
		Issuer: issuer, Storage: all, Logger: log, SkipApprovalScreen: true,
		SupportedResponseTypes: []string{"code"},
	})
	if err != nil {
		return nil, fmt.Errorf("make the server: %w", err)
	}
	return handler, nil
}

// passwords makes users whose name is what stands before the @.
func passwords(emails ...string) ([]storage.Password, error) {
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.DefaultCost)
	if err != nil {
		return nil, fmt.Errorf("hash the password: %w", err)
	}
	var all []storage.Password
	for i, email := range emails {
		name, _, _ := strings.Cut(email, "@")
		all = append(all, storage.Password{Email: email, Hash: hash, Username: name, UserID: fmt.Sprint("user-", i)})
	}
	return all, nil
}
