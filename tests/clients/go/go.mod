module pronto/tests/clients

go 1.18

require (
	github.com/firecracker-microvm/firecracker-go-sdk v1.0.0
	github.com/go-openapi/strfmt v0.21.2
	github.com/sirupsen/logrus v1.8.1
)
