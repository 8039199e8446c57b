package clustertest

import (
	"k8s.io/client-go/kubernetes"

	"github.com/cloudretro/cloudretro/coordinator/cluster"
)

// Clientset is client-go's client for all kinds there are, over the connections
// of c. The product itself has one for those that it uses (cluster.API).
func Clientset(c *cluster.Cluster) kubernetes.Interface {
	made, err := kubernetes.NewForConfigAndClient(c.REST, c.HTTP)
	if err != nil {
		panic("client of a cluster that another client was made for: " + err.Error())
	}
	return made
}
