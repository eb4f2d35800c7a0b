package gavel

import "github.com/gavel-pdp/gavel/client/go/gavelv1"

// PodEnd is a pod, as an end of a flow.
func PodEnd(namespace, name string) *gavelv1.End {
	return &gavelv1.End{End: &gavelv1.End_Pod{Pod: &gavelv1.PodRef{Namespace: namespace, Name: name}}}
}

// IPEnd is an address, as an end of a flow: that of a pod, or any other.
func IPEnd(ip string) *gavelv1.End {
	return &gavelv1.End{End: &gavelv1.End_Ip{Ip: ip}}
}

// WorkloadEnd stands for the pods of a workload, such as "Deployment", as an end of a flow.
func WorkloadEnd(namespace, kind, name string) *gavelv1.End {
	return &gavelv1.End{End: &gavelv1.End_Workload{Workload: &gavelv1.WorkloadRef{Namespace: namespace, Kind: kind, Name: name}}}
}

// LabelsEnd is a pod that does not exist yet, as an end of a flow.
func LabelsEnd(namespace string, labels map[string]string) *gavelv1.End {
	return &gavelv1.End{End: &gavelv1.End_Labels{Labels: &gavelv1.LabelsRef{Namespace: namespace, Labels: labels}}}
}
