// Generate writes the stubs of the wire contract: package gavelv1, out of proto/gavel/v1.
//
// It needs no protoc: the files are compiled here, and handed to protoc-gen-go and protoc-gen-go-grpc, which are tools of
// this module, at its versions.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

// The stubs' package, as Go programs import it.
const importPath = "github.com/gavel-pdp/gavel/client/go/gavelv1"

func main() {
	protos := flag.String("proto", "", "folder that has gavel/v1")
	out := flag.String("out", "", "folder of the stubs")
	check := flag.Bool("check", false, "write nothing, and fail if the stubs are not what would be written")
	flag.Parse()
	if err := run(*protos, *out, *check); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func run(protos, out string, check bool) error {
	request, err := compile(protos)
	if err != nil {
		return err
	}
	files := map[string]string{}
	for _, plugin := range []string{"protoc-gen-go", "protoc-gen-go-grpc"} {
		if err := generate(plugin, request, files); err != nil {
			return err
		}
	}
	if check {
		return compare(out, files)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(out, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Compiles all of gavel/v1, into what plugins of protoc are asked.
func compile(protos string) (*pluginpb.CodeGeneratorRequest, error) {
	found, err := filepath.Glob(filepath.Join(protos, "gavel/v1/*.proto"))
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("there is no gavel/v1/*.proto in %s", protos)
	}
	var names []string
	for _, path := range found {
		name, err := filepath.Rel(protos, path)
		if err != nil {
			return nil, err
		}
		names = append(names, filepath.ToSlash(name))
	}
	slices.Sort(names)
	compiler := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: []string{protos}}),
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	compiled, err := compiler.Compile(context.Background(), names...)
	if err != nil {
		return nil, err
	}
	request := &pluginpb.CodeGeneratorRequest{FileToGenerate: names}
	seen := map[string]bool{}
	for _, file := range compiled {
		add(file, seen, request)
	}
	// The contract is nobody's Go package by itself: which one it becomes is said here.
	var mappings []string
	for _, name := range names {
		mappings = append(mappings, "M"+name+"="+importPath)
	}
	parameter := strings.Join(append(mappings, "paths=source_relative"), ",")
	request.Parameter = &parameter
	return request, nil
}

// Adds a file, and before it what it imports.
func add(file protoreflect.FileDescriptor, seen map[string]bool, request *pluginpb.CodeGeneratorRequest) {
	if seen[file.Path()] {
		return
	}
	seen[file.Path()] = true
	imports := file.Imports()
	for i := range imports.Len() {
		add(imports.Get(i).FileDescriptor, seen, request)
	}
	request.ProtoFile = append(request.ProtoFile, toProto(file))
}

func toProto(file protoreflect.FileDescriptor) *descriptorpb.FileDescriptorProto {
	written := protodesc.ToFileDescriptorProto(file)
	if compiled, ok := file.(interface {
		FileDescriptorProto() *descriptorpb.FileDescriptorProto
	}); ok {
		written = compiled.FileDescriptorProto()
	}
	return written
}

// Asks a plugin, and adds what it writes.
func generate(plugin string, request *pluginpb.CodeGeneratorRequest, files map[string]string) error {
	asked, err := proto.Marshal(request)
	if err != nil {
		return err
	}
	command := exec.Command("go", "tool", plugin)
	command.Stdin = bytes.NewReader(asked)
	command.Stderr = os.Stderr
	said, err := command.Output()
	if err != nil {
		return fmt.Errorf("%s: %w", plugin, err)
	}
	var response pluginpb.CodeGeneratorResponse
	if err := proto.Unmarshal(said, &response); err != nil {
		return fmt.Errorf("%s: %w", plugin, err)
	}
	if response.Error != nil {
		return fmt.Errorf("%s: %s", plugin, *response.Error)
	}
	for _, file := range response.File {
		files[filepath.Base(file.GetName())] = file.GetContent()
	}
	return nil
}

// Fails if the folder's stubs are others.
func compare(folder string, files map[string]string) error {
	const again = "run client/go/generate"
	there, err := filepath.Glob(filepath.Join(folder, "*.pb.go"))
	if err != nil {
		return err
	}
	for _, path := range there {
		if _, ok := files[filepath.Base(path)]; !ok {
			return fmt.Errorf("%s is of no proto file; remove it", path)
		}
	}
	for name, text := range files {
		kept, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil || string(kept) != text {
			return fmt.Errorf("%s is not what proto/gavel/v1 says: %s", name, again)
		}
	}
	return nil
}
