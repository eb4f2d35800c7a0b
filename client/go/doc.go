// Package gavel asks Gavel, the Kubernetes policy decision point: may this pod be created, may this connection be opened,
// may this subject do that?
//
// A [Client] asks all replicas of a server in turn, over connections that it keeps. Each call has a deadline, its context's
// or [WithTimeout]'s; what one replica does not answer another one is asked, since every call only asks.
//
//	client, err := gavel.New([]string{"gavel-server.gavel-system.svc:9470"}, gavel.WithServerCA("/etc/gavel/ca.crt"))
//	if err != nil {
//		return err
//	}
//	defer client.Close()
//	answer, err := client.CheckFlow(ctx, &gavelv1.CheckFlowRequest{
//		Source:      gavel.PodEnd("shop", "web"),
//		Destination: gavel.PodEnd("shop", "db"),
//		Port:        5432,
//	})
//
// Whoever asks about flows all the time keeps a [Session]: one connection to one server, on which questions do not wait for
// each other, and which tells when answers that were kept have to be forgotten.
//
// The messages are those of the wire contract, package gavelv1.
package gavel
