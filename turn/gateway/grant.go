package gateway

import (
	"slices"

	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// reference is who refers to what.
type reference struct {
	fromGroup, fromKind string
	from                string // namespace
	toGroup, toKind     string
	to                  types.NamespacedName
}

// permitted says whether a reference stays in its namespace or a ReferenceGrant
// where it leads to allows it.
func (t *translator) permitted(r reference) bool {
	if r.from == r.to.Namespace {
		return true
	}
	return slices.ContainsFunc(t.Grants, func(g *gatewayv1.ReferenceGrant) bool {
		return g != nil && g.Namespace == r.to.Namespace && g.DeletionTimestamp == nil &&
			slices.ContainsFunc(g.Spec.From, r.comesFrom) && slices.ContainsFunc(g.Spec.To, r.goesTo)
	})
}

func (r reference) comesFrom(f gatewayv1.ReferenceGrantFrom) bool {
	return string(f.Group) == r.fromGroup && string(f.Kind) == r.fromKind && string(f.Namespace) == r.from
}

func (r reference) goesTo(to gatewayv1.ReferenceGrantTo) bool {
	return string(to.Group) == r.toGroup && string(to.Kind) == r.toKind && (or(to.Name, "") == "" || string(*to.Name) == r.to.Name)
}
