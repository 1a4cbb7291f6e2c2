package AnyEvent::NSQ::Writer;

# A stand-in with the interface of CPAN's module, for machines where that cannot be had.

use strict;
use warnings;
use parent 'AnyEvent::NSQ::Client';

1;
