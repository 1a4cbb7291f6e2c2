package AnyEvent::NSQ::Client;

# A stand-in with the interface of CPAN's module, for machines where that cannot be had.

use strict;
use warnings;
use AnyEvent::Socket ();
use AnyEvent::NSQ::Connection;

sub new {
    my ($class, %args) = @_;
    my $self      = bless {%args}, $class;
    my $addresses = $self->{nsqd_tcp_addresses};
    for my $address (ref $addresses ? @$addresses : $addresses) {
        my ($host, $port) = AnyEvent::Socket::parse_hostport($address, 4150);
        push @{ $self->{connections} }, AnyEvent::NSQ::Connection->new(
            host          => $host,
            port          => $port,
            client_id     => $self->{client_id},
            connect_cb    => sub { $self->_call(connect_cb => @_); $_[0]->identify(sub { $self->_identified(@_) }) },
            disconnect_cb => sub { $self->_call(disconnect_cb => $self, @_) },
            ($self->{error_cb} ? (error_cb => $self->{error_cb}) : ()),
        );
    }
    return $self;
}

sub publish {
    my ($self, $topic, @bodies) = @_;
    my $cb = ref $bodies[-1] eq 'CODE' || !defined $bodies[-1] ? pop @bodies : undef;
    $self->{connections}[0]->publish($topic, @bodies, $cb && sub { $cb->($self, $topic, \@bodies, @_) });
}

sub disconnect { my ($self, $cb) = @_; $_->disconnect($cb) for @{ $self->{connections} } }

sub _identified { my ($self, @args) = @_; $self->_call(identify_cb => $self, @args) }

sub _call { my ($self, $name, @args) = @_; $self->{$name}->(@args) if $self->{$name} }

1;
