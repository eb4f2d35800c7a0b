# PodSecurityPolicy, both phases in one: a pod is admitted if some policy that its user or its service account may use
# accepts it once that policy's defaults are filled in. (The API server then asks all policies about the result, and that
# one accepts it again.)
#
#   data.policies[name]                  the policy's spec, and its annotations
#   data.grants[namespace][subject]      names of the policies that may be used there, as keys; namespace "" is all
#
# A question has namespace, user, groups and pod.
package admission

# POST /v1/data/admission/allow
default allow := false

allow if {
	some name, _ in usable
	accepts(data.policies[name])
}

usable[name] if {
	some namespace in ["", input.namespace]
	some subject in subjects
	some name, _ in data.grants[namespace][subject]
}

subjects contains concat("", ["User:", input.user])

subjects contains concat("", ["Group:", group]) if some group in input.groups

account := concat(":", ["system:serviceaccount", input.namespace, input.pod.spec.serviceAccountName])

subjects contains concat("", ["User:", account])

subjects contains "Group:system:serviceaccounts"

subjects contains concat("", ["Group:system:serviceaccounts:", input.namespace])

spec := input.pod.spec

pod_context := object.get(spec, "securityContext", {})

# Of a container: its own setting, else the pod's; null where there is none.
effective(container, field) := object.get(
	object.get(container, "securityContext", {}),
	field,
	object.get(pod_context, field, null),
)

containers := array.concat(object.get(spec, "initContainers", []), spec.containers)

accepts(policy) if {
	every field in ["hostNetwork", "hostPID", "hostIPC"] { flag_allowed(policy, field) }
	every volume in object.get(spec, "volumes", []) { volume_allowed(policy, volume) }
	groups_allowed(policy.fsGroup, fs_groups)
	groups_allowed(policy.supplementalGroups, object.get(pod_context, "supplementalGroups", []))
	every container in containers { container_allowed(policy, container) }
}

flag_allowed(_, field) if not spec[field]

flag_allowed(policy, field) if policy[field]

# Volumes.

volume_allowed(policy, volume) if {
	type_allowed(policy, volume)
	path_allowed(policy, volume)
}

type_allowed(policy, _) if "*" in policy.volumes

type_allowed(policy, volume) if {
	some kind, _ in volume
	kind != "name"
	kind in policy.volumes
}

path_allowed(_, volume) if not volume.hostPath

path_allowed(policy, _) if object.get(policy, "allowedHostPaths", []) == []

path_allowed(policy, volume) if {
	some allowed in policy.allowedHostPaths
	below(volume.hostPath.path, allowed.pathPrefix)
	mode_allowed(allowed, volume)
}

below(path, prefix) if path == prefix

below(path, prefix) if startswith(path, concat("", [trim_right(prefix, "/"), "/"]))

mode_allowed(allowed, _) if not allowed.readOnly

mode_allowed(_, volume) if {
	every container in containers {
		every mount in object.get(container, "volumeMounts", []) { mount_allowed(mount, volume) }
	}
}

mount_allowed(mount, volume) if mount.name != volume.name

mount_allowed(mount, _) if mount.readOnly

# Groups of the pod: where a rule demands one and there is none, the rule's first is filled in.

fs_groups := [pod_context.fsGroup]

fs_groups := [] if not pod_context.fsGroup

groups_allowed(rule, _) if rule.rule == "RunAsAny"

groups_allowed(rule, groups) if {
	rule.rule != "RunAsAny"
	every group in groups { in_ranges(group, rule.ranges) }
}

in_ranges(number, ranges) if {
	is_number(number)
	some range in ranges
	number >= range.min
	number <= range.max
}

# Containers.

container_allowed(policy, container) if {
	privileged_allowed(policy, container)
	escalation_allowed(policy, container)
	root_allowed(policy, container)
	user_allowed(policy.runAsUser, container)
	group_allowed(object.get(policy, "runAsGroup", {"rule": "RunAsAny"}), container)
	selinux_allowed(policy.seLinux, container)
	capabilities_allowed(policy, container)
	seccomp_allowed(policy, container)
	every port in object.get(container, "ports", []) { port_allowed(policy, port) }
}

privileged_allowed(_, container) if not container.securityContext.privileged

privileged_allowed(policy, _) if policy.privileged

# Unset, it is filled in.
escalation_allowed(_, container) if not container.securityContext.allowPrivilegeEscalation

escalation_allowed(policy, _) if object.get(policy, "allowPrivilegeEscalation", true)

root_allowed(policy, _) if not policy.readOnlyRootFilesystem

root_allowed(_, container) if object.get(container, ["securityContext", "readOnlyRootFilesystem"], true)

user_allowed(rule, _) if rule.rule == "RunAsAny"

user_allowed(rule, container) if {
	rule.rule == "MustRunAs"
	in_ranges(effective(container, "runAsUser"), rule.ranges)
}

user_allowed(rule, container) if {
	rule.rule == "MustRunAs"
	effective(container, "runAsUser") == null
}

user_allowed(rule, container) if {
	rule.rule == "MustRunAsNonRoot"
	effective(container, "runAsNonRoot") != false
	effective(container, "runAsUser") != 0
}

group_allowed(rule, _) if rule.rule == "RunAsAny"

group_allowed(rule, container) if {
	rule.rule != "RunAsAny"
	in_ranges(effective(container, "runAsGroup"), rule.ranges)
}

group_allowed(rule, container) if {
	rule.rule != "RunAsAny"
	effective(container, "runAsGroup") == null
}

selinux_allowed(rule, _) if rule.rule == "RunAsAny"

selinux_allowed(rule, container) if effective(container, "seLinuxOptions") == rule.seLinuxOptions

selinux_allowed(_, container) if effective(container, "seLinuxOptions") == null

capabilities_allowed(policy, container) if {
	every capability in object.get(container, ["securityContext", "capabilities", "add"], []) {
		capability_allowed(policy, capability)
	}
}

capability_allowed(policy, _) if "*" in policy.allowedCapabilities

capability_allowed(policy, capability) if capability in policy.allowedCapabilities

capability_allowed(policy, capability) if capability in policy.defaultAddCapabilities

port_allowed(_, port) if host_port(port) == 0

port_allowed(policy, port) if in_ranges(host_port(port), policy.hostPorts)

# On the host's network, a port's default host port is the port itself.
host_port(port) := object.get(port, "hostPort", 0) if not spec.hostNetwork

host_port(port) := object.get(port, "hostPort", port.containerPort) if spec.hostNetwork

# seccomp: fields count as the annotations that they stand for.

seccomp_allowed(policy, container) if {
	allowed := split(object.get(policy.annotations, "seccomp.security.alpha.kubernetes.io/allowedProfileNames", ""), ",")
	profile := seccomp_profile(policy, container)
	seccomp_one_of(profile, allowed)
}

seccomp_one_of(_, allowed) if "*" in allowed

seccomp_one_of(profile, allowed) if profile in allowed

seccomp_profile(policy, container) := object.get(
	policy.annotations,
	"seccomp.security.alpha.kubernetes.io/defaultProfileName",
	"",
) if {
	effective(container, "seccompProfile") == null
}

seccomp_profile(_, container) := "runtime/default" if effective(container, "seccompProfile").type == "RuntimeDefault"

seccomp_profile(_, container) := "unconfined" if effective(container, "seccompProfile").type == "Unconfined"
