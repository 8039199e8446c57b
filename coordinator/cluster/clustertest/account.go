package clustertest

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	authentication "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/cloudretro/cloudretro/coordinator/cluster"
)

// As is what the service account may do in the namespace of c, by a real token.
// The account is made if there is none.
func As(t testing.TB, c *cluster.Cluster, account string) *cluster.Cluster {
	t.Helper()
	Account(t, c, account)
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{
		Server: c.REST.Host, CertificateAuthority: c.REST.CAFile, CertificateAuthorityData: c.REST.CAData,
		TLSServerName: c.REST.ServerName, InsecureSkipTLSVerify: c.REST.Insecure,
	}
	config.AuthInfos["u"] = &clientcmdapi.AuthInfo{Token: Token(t, c, account, nil)}
	config.Contexts["c"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	config.CurrentContext = "c"
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
	return connect(t, file, c.Namespace)
}

// Account makes a service account in the namespace of c, unless it is there.
func Account(t testing.TB, c *cluster.Cluster, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_, err := Clientset(c).CoreV1().ServiceAccounts(c.Namespace).Create(ctx, &corev1.ServiceAccount{
		ObjectMeta: metav1.ObjectMeta{Name: name},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatalf("make service account %s: %v", name, err)
	}
}

// Token is a token of a service account, for ten minutes. change, if it is not
// nil, says for whom, how long and bound to which pod.
func Token(t testing.TB, c *cluster.Cluster, account string, change func(*authentication.TokenRequestSpec)) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	seconds := int64(600)
	request := &authentication.TokenRequest{Spec: authentication.TokenRequestSpec{ExpirationSeconds: &seconds}}
	if change != nil {
		change(&request.Spec)
	}
	answer, err := Clientset(c).CoreV1().ServiceAccounts(c.Namespace).CreateToken(ctx, account, request, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("token of service account %s: %v", account, err)
	}
	return answer.Status.Token
}
